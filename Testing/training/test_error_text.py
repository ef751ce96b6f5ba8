"""What a run that ended in an error says about it."""

import errno
import os

import pytest
import torch

from axon_backend.errors import AxonInputError
from axon_backend.training.run.error_text import explain, has_words


@pytest.mark.parametrize(
    ("error", "known", "words"),
    [
        (KeyboardInterrupt(), True, "the last checkpoint is kept. Continue with --resume."),
        (torch.OutOfMemoryError("CUDA ..."), True, "Set micro_batch=1 or checkpointing=true"),
        (FloatingPointError("The loss is not finite\n in step 3."), True, "finite in step 3."),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "last.pt"), True, "left on device: last"),
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), True, "denied: the run folder. Free"),
        (OSError("no number"), False, "OSError: no number"),
        (AxonInputError("Give another file."), False, "Give another file."),
        (ZeroDivisionError(), False, "ZeroDivisionError: no further explanation"),
    ],
)
def test_one_sentence_that_says_what_to_do(error, known, words):
    said = explain(error)
    assert words in said and "\n" not in said
    assert has_words(error) is known
