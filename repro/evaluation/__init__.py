"""What a trained model is worth: losses on prepared sets, accuracies on tasks, and the text that it writes."""
