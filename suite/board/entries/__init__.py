"""An entry's page: a data sheet, then the evidence that every figure follows from."""
