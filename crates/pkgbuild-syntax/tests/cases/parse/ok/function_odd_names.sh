package_foo-bar+baz.1() { :; }
a*() { b; }
function -x { y; }
