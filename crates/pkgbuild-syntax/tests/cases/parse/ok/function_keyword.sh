function a { b; }
function c() { d; }
function e
{
  f
}
