for ((i = 0; i < 10; i++)); do a; done
for ((;;)) { b; }
for (( i=(1); i<f(2); )) do c; done
