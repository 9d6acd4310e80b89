/** Formats what kernels print, as CUDA's printf does: C's conversions over a packed buffer of arguments. */

/** Reads a kernel's memory; addresses are generic. Outside of it everything reads as zero. */
export interface PrintMemory {
  /** Bytes up to a zero, as one character each. */
  string(address: bigint): string;
  word(address: bigint): number;
  long(address: bigint): bigint;
  double(address: bigint): number;
}

/** Widths and precisions beyond this are cut: no line needs more. */
const WIDTH_MAX = 1024;

const bits = new DataView(new ArrayBuffer(8));

const conversion = /%([-+ #0]*)(\*|\d+)?(?:\.(\*|-?\d+)?)?(hh|h|ll|l|j|z|t|L|q)?([diouxXeEfFgGaAcspn%])/g;

interface Spec {
  readonly flags: string;
  readonly width: number;
  readonly precision: number | undefined;
  readonly type: string;
}

/** The text of one call, one character per byte. */
export function formatPrint(memory: PrintMemory, format: bigint, args: bigint): string {
  const text = memory.string(format);
  let at = args;
  const take = (size: number): bigint => {
    at = (at + BigInt(size - 1)) & ~BigInt(size - 1);
    const address = at;
    at += BigInt(size);
    return address;
  };
  const count = (word: string | undefined): number | undefined =>
    word === undefined ? undefined : word === "*" ? memory.word(take(4)) | 0 : Number(word);
  return text.replace(conversion, (whole, flags: string, widthWord, precisionWord, length, type: string) => {
    if (type === "%") return "%";
    const width = count(widthWord) ?? 0;
    // A dot without a number is a precision of zero.
    const hasDot = whole.includes(".");
    const precision = hasDot ? (count(precisionWord) ?? 0) : undefined;
    const spec: Spec = {
      flags: width < 0 ? `${flags}-` : flags,
      width: Math.min(Math.abs(width), WIDTH_MAX),
      precision: precision === undefined || precision < 0 ? undefined : Math.min(precision, WIDTH_MAX),
      type,
    };
    if ("di".includes(type)) return formatInteger(spec, readInteger(memory, take, { length, isSigned: true }));
    if ("ouxX".includes(type)) return formatInteger(spec, readInteger(memory, take, { length, isSigned: false }));
    if (type === "c") return pad(String.fromCharCode(memory.word(take(4)) & 0xff), { ...spec, flags: keepLeft(spec) });
    if (type === "s") {
      const string = memory.string(memory.long(take(8)));
      return pad(string.slice(0, spec.precision), { ...spec, flags: keepLeft(spec) });
    }
    if (type === "p") return pad(`0x${memory.long(take(8)).toString(16)}`, { ...spec, flags: keepLeft(spec) });
    if (type === "n") return "";
    return formatFloat(spec, memory.double(take(8)));
  });
}

const keepLeft = ({ flags }: Spec): string => (flags.includes("-") ? "-" : "");

function readInteger(
  memory: PrintMemory,
  take: (size: number) => bigint,
  { length, isSigned }: { length: string | undefined; isSigned: boolean },
): bigint {
  const isLong = length !== undefined && /^(l|ll|j|z|t|q)$/.test(length);
  const value = isLong ? memory.long(take(8)) : BigInt(memory.word(take(4)));
  const bits = isLong ? 64 : length === "hh" ? 8 : length === "h" ? 16 : 32;
  return isSigned ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}

function formatInteger(spec: Spec, value: bigint): string {
  const { flags, precision, type } = spec;
  const magnitude = value < 0n ? -value : value;
  const base = type === "o" ? 8 : type === "x" || type === "X" ? 16 : 10;
  let digits = precision === 0 && value === 0n ? "" : magnitude.toString(base);
  if (precision !== undefined) digits = digits.padStart(precision, "0");
  if (flags.includes("#") && type === "o" && !digits.startsWith("0")) digits = `0${digits}`;
  let prefix = flags.includes("#") && base === 16 && value !== 0n ? "0x" : "";
  if (value < 0n) prefix = "-";
  else if ("di".includes(type)) prefix = flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
  const plain = precision === undefined ? flags : flags.replaceAll("0", "");
  const text = pad(digits, { ...spec, flags: plain }, prefix);
  return type === "X" ? text.toUpperCase() : text;
}

function formatFloat(spec: Spec, value: number): string {
  const { flags, type } = spec;
  const lower = type.toLowerCase();
  const negative = value < 0 || Object.is(value, -0);
  const magnitude = Math.abs(value);
  const prefix = negative ? "-" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
  let text: string;
  let padding = spec;
  if (!Number.isFinite(value)) {
    text = Number.isNaN(value) ? "nan" : "inf";
    padding = { ...spec, flags: flags.replaceAll("0", "") };
  } else if (lower === "f") text = fixed(magnitude, spec.precision ?? 6);
  else if (lower === "e") text = exponential(magnitude, spec.precision ?? 6);
  else if (lower === "g") text = general(magnitude, spec);
  else text = hexadecimal(magnitude, spec.precision);
  const padded = pad(text, padding, prefix);
  return type === lower ? padded : padded.toUpperCase();
}

/** value * 10^power as a whole number, a tie going to the even one, as C rounds. */
function scaled(value: number, power: number): bigint {
  bits.setFloat64(0, value);
  const word = bits.getBigUint64(0);
  const biased = Number(word >> 52n);
  const mantissa = (word & 0xf_ffff_ffff_ffffn) | (biased === 0 ? 0n : 1n << 52n);
  const exponent = Math.max(biased, 1) - 1075;
  const top = mantissa * 10n ** BigInt(Math.max(power, 0)) * 2n ** BigInt(Math.max(exponent, 0));
  const bottom = 10n ** BigInt(Math.max(-power, 0)) * 2n ** BigInt(Math.max(-exponent, 0));
  const whole = top / bottom;
  const twice = (top % bottom) * 2n;
  return twice > bottom || (twice === bottom && (whole & 1n) === 1n) ? whole + 1n : whole;
}

function fixed(value: number, precision: number): string {
  const digits = scaled(value, precision)
    .toString()
    .padStart(precision + 1, "0");
  return precision === 0 ? digits : `${digits.slice(0, -precision)}.${digits.slice(-precision)}`;
}

const exponentOf = (value: number): number => (value === 0 ? 0 : Number(value.toExponential(100).split("e")[1]));

function exponential(value: number, precision: number): string {
  let exponent = exponentOf(value);
  let digits = scaled(value, precision - exponent)
    .toString()
    .padStart(precision + 1, "0");
  if (digits.length > precision + 1) {
    exponent++;
    digits = digits.slice(0, -1);
  }
  const mantissa = precision === 0 ? digits : `${digits[0]}.${digits.slice(1)}`;
  return `${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

function general(value: number, { precision, flags }: Spec): string {
  const digits = precision === undefined ? 6 : Math.max(precision, 1);
  // The exponent after rounding decides.
  const exponent = Number(exponential(value, digits - 1).split("e")[1]);
  const isPlain = exponent >= -4 && exponent < digits;
  const text = isPlain ? fixed(value, digits - 1 - exponent) : exponential(value, digits - 1);
  if (flags.includes("#")) return text;
  const [mantissa = "", rest] = text.split("e");
  const short = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
  return rest === undefined ? short : `${short}e${rest}`;
}

function hexadecimal(value: number, precision: number | undefined): string {
  if (value === 0) return "0x0p+0";
  let exponent = Math.max(Math.floor(Math.log2(value)), -1022);
  let mantissa = value / 2 ** exponent;
  if (mantissa >= 2) {
    mantissa /= 2;
    exponent++;
  }
  let fraction = BigInt(Math.round((mantissa % 1) * 2 ** 52));
  let whole = Math.floor(mantissa);
  let digits = fraction.toString(16).padStart(13, "0");
  if (precision === undefined) digits = digits.replace(/0+$/, "");
  else if (precision < 13) {
    const drop = BigInt(52 - precision * 4);
    fraction = (fraction + (1n << (drop - 1n))) >> drop;
    if (fraction >> BigInt(precision * 4) > 0n) whole++;
    digits =
      precision === 0 ? "" : (fraction & ((1n << BigInt(precision * 4)) - 1n)).toString(16).padStart(precision, "0");
  } else digits = digits.padEnd(precision, "0");
  return `0x${whole}${digits === "" ? "" : `.${digits}`}p${exponent < 0 ? "-" : "+"}${Math.abs(exponent)}`;
}

function pad(text: string, { flags, width }: Spec, prefix = ""): string {
  const missing = width - prefix.length - text.length;
  if (missing <= 0) return prefix + text;
  if (flags.includes("-")) return prefix + text + " ".repeat(missing);
  return flags.includes("0") ? prefix + "0".repeat(missing) + text : " ".repeat(missing) + prefix + text;
}
