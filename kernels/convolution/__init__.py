"""Convolution: `convolve` in one to three dimensions, `conv2d` and its two gradients."""
