"""Names in the folder of a reconstruction that are read again; see ``case_output``."""

DICOM_FOLDER, SAMPLES_FOLDER = "dicom", "samples"
# The X-rays as registered, for viewers.
XRAY_FILES = {role: f"xray_{role}.jpg" for role in ("frontal", "lateral")}
