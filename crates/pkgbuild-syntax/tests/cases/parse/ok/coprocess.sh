coproc a b
coproc { c; }
coproc NAME { d; }
