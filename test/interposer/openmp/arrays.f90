! Arrays of Fortran on the device.
program arrays
  implicit none
  integer, parameter :: n = 1000
  real(8) :: a(n), b(n), total, largest
  real(8), allocatable :: c(:, :)
  integer :: i, j
  a = [(real(i, 8), i = 1, n)]
  total = 0
  !$omp target teams distribute parallel do map(to: a) map(from: b) map(tofrom: total) reduction(+: total)
  do i = 1, n
    b(i) = 2 * a(i)
    total = total + b(i)
  end do
  if (total /= n * (n + 1.0d0) .or. any(b /= 2 * a)) stop 1
  allocate(c(40, 50))
  largest = -1
  !$omp target parallel do collapse(2) map(from: c) map(tofrom: largest) reduction(max: largest)
  do j = 1, 50
    do i = 1, 40
      c(i, j) = i * 100 + j
      largest = max(largest, sin(c(i, j)))
    end do
  end do
  do j = 1, 50
    if (any(c(:, j) /= [(i * 100 + j, i = 1, 40)])) stop 2
  end do
  if (abs(largest - maxval(sin(c))) > 1d-12) stop 3
  print '(a)', 'ok'
end program
