depends=()
conflicts=( )
provides=(
)
