cat <<-EOF
	a
		$x b
	EOF
cat <<-'EOF'
	a $x

	EOF
