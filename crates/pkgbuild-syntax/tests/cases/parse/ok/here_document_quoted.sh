cat <<'EOF' > out
$x `y` \z
EOF
cat <<\END
$(
END
cat <<"A B"
x
A B
