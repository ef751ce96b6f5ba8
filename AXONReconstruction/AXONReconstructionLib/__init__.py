"""The rooms of the module AXON Reconstruction: logic, worker, MRML nodes, panel and sections."""
