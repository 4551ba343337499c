"""Admission: which requests TorchServe holds, so that none is decoded for nobody and none starves the others."""
