"""RepLoRA in three kinds of training code, on the embedded models and tasks: nothing is downloaded."""
