"""Operators: tensors in, tensors out. One file each: public function, plain PyTorch reference, registration."""
