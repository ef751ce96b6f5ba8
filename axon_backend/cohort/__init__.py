"""`axon cohort`: process many studies, in processes on this machine or on a Ray cluster."""
