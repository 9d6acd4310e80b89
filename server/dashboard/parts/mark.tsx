/** The sign of Sluice: a gate above water. */

export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M9 4v11M16 4v8M23 4v11" />
      <path class="water" d="M5 21c3.700 0 3.700-2.400 7.300-2.400S16 21 19.700 21s3.700-2.400 7.300-2.400" />
      <path class="water" d="M5 27c3.700 0 3.700-2.400 7.300-2.400S16 27 19.700 27s3.700-2.400 7.300-2.400" />
    </svg>
  );
}
