"""Calibration of accelerometers and gyros by readings at rest, at known rates and over temperature.

A corrected reading is `matrix @ (reading - bias)`. At rest, corrected specific forces have the strength of gravity in
every position; this determines an upper triangular matrix (scale factors and non-orthogonality) and the bias.
On a turntable the rates are known, which determines a full matrix.
"""
