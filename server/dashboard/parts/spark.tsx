/** A line as small as a word: where a number came from. It says nothing that the number beside it does not. */

const WIDTH = 48;
const HEIGHT = 14;
/** Values shown, the last ones. */
const POINTS = 60;

export function Spark({ values }: { readonly values: readonly number[] }) {
  const shown = values.slice(-POINTS);
  const top = Math.max(...shown, 1e-9);
  const points = shown.map((value, index) => {
    const x = WIDTH - (shown.length - 1 - index) * (WIDTH / (POINTS - 1));
    return `${x.toFixed(1)},${(HEIGHT - 1 - (value / top) * (HEIGHT - 2)).toFixed(1)}`;
  });
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      {shown.length > 1 && top > 1e-9 && <polyline points={points.join(" ")} />}
    </svg>
  );
}
