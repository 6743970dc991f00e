CC=gcc CXX="g++" make -j4
IFS=. read -r a b
