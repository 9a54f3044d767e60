"""Detection: pixels that differ from the background (anomalies), or that resemble a given spectrum (targets).

Layers: `scores`, float32, higher where more unusual, NaN where not valid; `hits`, one point for each group of neighbouring
pixels above the threshold, where a false-alarm rate is given.
Metrics, against pixel truth: area under the ROC curve, detection probability at a false-alarm rate of 1e-3 and 1e-4.
"""
