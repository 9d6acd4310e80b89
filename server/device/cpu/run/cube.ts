/**
 * Cubes of six faces: a direction from the middle meets one of them, at a place from 0 to 1 along both of its sides. By the table of the CUDA
 * C++ Programming Guide ("Cubemap Textures").
 */

/** How each face names the direction's coordinates: along its sides, and out of it; 1, 2 and 3 stand for x, y and z, negative ones for the opposite. */
const faces = [
  [-3, -2, 1],
  [3, -2, -1],
  [1, 3, 2],
  [1, -3, -2],
  [1, -2, 3],
  [-1, -2, -3],
] as const;

const named = (vector: ArrayLike<number>, name: number): number => (name > 0 ? vector[name - 1]! : -vector[-name - 1]!);

export interface FacePlace {
  readonly face: number;
  readonly x: number;
  readonly y: number;
}

/** The texel of another face that stands where one beyond an edge of a face would be, but not beyond a corner; each is `size` texels wide. */
export function acrossEdge({ face, x, y }: FacePlace, size: number): FacePlace {
  const direction = new Float64Array(3);
  const [side, other, out] = faces[face]!;
  const set = (name: number, value: number): void => {
    direction[Math.abs(name) - 1] = Math.sign(name) * value;
  };
  set(side, (2 * x + 1) / size - 1);
  set(other, (2 * y + 1) / size - 1);
  set(out, 1);
  const found = projectOnFace(direction);
  const [s, t] = [direction[0]!, direction[1]!];
  const texel = (place: number) => Math.min(Math.floor(place * size), size - 1);
  return { face: found, x: texel(s), y: texel(t) };
}

/**
 * Replaces a direction by its place on a face; returns the face's number. Changes of the direction, if there are any, become changes of the
 * place.
 */
export function projectOnFace(direction: Float64Array, changes: readonly Float64Array[] = []): number {
  const [x, y, z] = [direction[0]!, direction[1]!, direction[2]!];
  const [across, up, along] = [Math.abs(x), Math.abs(y), Math.abs(z)];
  let face = z >= 0 ? 4 : 5;
  if (across > up && across > along) face = x >= 0 ? 0 : 1;
  else if (up > along) face = y >= 0 ? 2 : 3;
  const [side, other, out] = faces[face]!;
  const [s, t, m] = [named(direction, side), named(direction, other), named(direction, out)];
  for (const change of changes) {
    const [ds, dt, dm] = [named(change, side), named(change, other), named(change, out)];
    change[0] = (ds * m - s * dm) / (2 * m * m);
    change[1] = (dt * m - t * dm) / (2 * m * m);
    change[2] = 0;
  }
  direction[0] = (s / m + 1) / 2;
  direction[1] = (t / m + 1) / 2;
  direction[2] = 0;
  return face;
}
