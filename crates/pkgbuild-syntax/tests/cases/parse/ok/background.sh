sleep 1 &
(a; b) & c
