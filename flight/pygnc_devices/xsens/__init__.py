"""Xsens MTi 1, 10, 100 and 600 series: the Xbus protocol with MTData2 messages."""
