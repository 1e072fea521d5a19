"""The hardware profiles' pages: what each requires, who answered, curves and the runtimes side by side."""
