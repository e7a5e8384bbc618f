"""The servers that `serving` measures, ours and those it is held against, each as a process of its own."""
