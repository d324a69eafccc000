"""What tuning did, as measured: side effects, and the effects of deliberate changes."""
