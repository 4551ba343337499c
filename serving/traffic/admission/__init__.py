"""Admission: which requests the worker host holds, so that none is decoded for nobody and none starves the others."""
