prepare()
{
  a
}
check ()

  # comment
{ b; }
