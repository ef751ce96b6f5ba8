"""`axon cohort`: the work of many studies, in processes on this machine or on a Ray cluster."""
