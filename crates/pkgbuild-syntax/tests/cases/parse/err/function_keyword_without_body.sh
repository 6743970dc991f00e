function build make
