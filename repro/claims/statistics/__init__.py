"""When one may say that two arms differ, or are alike: tests, intervals and what could have been seen."""
