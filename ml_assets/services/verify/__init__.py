"""Whether anything that was written is missing, changed or added. Looking changes nothing."""
