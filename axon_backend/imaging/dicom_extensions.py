"""The extensions of DICOM files."""

# A file named so is taken as DICOM even where the mark "DICM" of part 10 is missing.
DICOM_EXTENSIONS = (".dcm", ".dicom", ".ima")
