"""What a network looks like inside: functions of tensors and models, which know no run and no file."""
