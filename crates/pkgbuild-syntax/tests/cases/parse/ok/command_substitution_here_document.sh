x=$(cat <<END
a )
END
)
