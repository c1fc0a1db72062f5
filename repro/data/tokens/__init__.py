"""Token files of other programs: dolma's, OLMo's and Megatron's, checked and taken over as they are."""
