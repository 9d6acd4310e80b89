/** printf of the cpu device against what the C library prints (the expected texts were taken from glibc's printf). */
import { describe, expect, test } from "vitest";
import { formatPrint, type PrintMemory } from "../../server/device/cpu/run/printf.ts";

type Argument = ["int", number] | ["long", bigint] | ["double", number] | ["string", string];

/** A memory with the format at 0 and the arguments at 4096, packed as the compiler packs them. */
function print(format: string, ...args: Argument[]): string {
  const buffer = new DataView(new ArrayBuffer(16_384));
  const place = (text: string, at: number) => {
    for (let index = 0; index < text.length; index++) buffer.setUint8(at + index, text.charCodeAt(index));
  };
  place(format, 0);
  let at = 4096;
  let strings = 8192;
  for (const [kind, value] of args) {
    if (kind !== "int") at = Math.ceil(at / 8) * 8;
    if (kind === "int") buffer.setInt32(at, value, true);
    else if (kind === "long") buffer.setBigInt64(at, value, true);
    else if (kind === "double") buffer.setFloat64(at, value, true);
    else {
      place(value, strings);
      buffer.setBigUint64(at, BigInt(strings), true);
      strings += value.length + 1;
    }
    at += kind === "int" ? 4 : 8;
  }
  const memory: PrintMemory = {
    string(address) {
      let text = "";
      for (let index = Number(address); buffer.getUint8(index) !== 0; index++)
        text += String.fromCharCode(buffer.getUint8(index));
      return text;
    },
    word: (address) => buffer.getUint32(Number(address), true),
    long: (address) => buffer.getBigUint64(Number(address), true),
    double: (address) => buffer.getFloat64(Number(address), true),
  };
  return formatPrint(memory, 0n, 4096n);
}

const int = (value: number): Argument => ["int", value];
const long = (value: bigint): Argument => ["long", value];
const double = (value: number): Argument => ["double", value];
const string = (value: string): Argument => ["string", value];

describe("printf prints as C does", () => {
  test.each<[string, Argument[], string]>([
    ["%d|%i|%u", [int(-5), int(7), int(-1)], "-5|7|4294967295"],
    ["%5d|%-5d|%05d|%+d|% d", [int(42), int(42), int(42), int(42), int(42)], "   42|42   |00042|+42| 42"],
    ["%.3d|%8.3d|%-8.3d|", [int(7), int(-7), int(7)], "007|    -007|007     |"],
    ["%x|%X|%#x|%o|%#o", [int(255), int(255), int(255), int(8), int(8)], "ff|FF|0xff|10|010"],
    [
      "%lld|%llu|%lx|%zu",
      [long(-(2n ** 63n)), long(-1n), long(255n), long(12n)],
      "-9223372036854775808|18446744073709551615|ff|12",
    ],
    ["%d %lld %d %f", [int(1), long(2n), int(3), double(4)], "1 2 3 4.000000"],
    ["%hhd|%hd|%hhu", [int(300), int(70_000), int(-1)], "44|4464|255"],
    [
      "%f|%.2f|%10.3f|%-10.1f|%+.0f",
      [double(Math.PI), double(2.005), double(-1.5), double(9.99), double(2.5)],
      "3.141593|2.00|    -1.500|10.0      |+2",
    ],
    [
      "%e|%.2e|%E|%.0e",
      [double(12345.678), double(0.00012), double(1e100), double(5)],
      "1.234568e+04|1.20e-04|1.000000E+100|5e+00",
    ],
    [
      "%g|%g|%g|%g|%g",
      [double(100000), double(1000000), double(0.0001), double(0.00001), double(0)],
      "100000|1e+06|0.0001|1e-05|0",
    ],
    ["%.3g|%#g|%G", [double(1234.5), double(1), double(1e-10)], "1.23e+03|1.00000|1E-10"],
    [
      "%f|%F|%5f|%e|%g",
      [
        double(Number.NaN),
        double(Number.POSITIVE_INFINITY),
        double(Number.NEGATIVE_INFINITY),
        double(Number.NaN),
        double(-0),
      ],
      "nan|INF| -inf|nan|-0",
    ],
    ["%05f|%08.2f", [double(Number.POSITIVE_INFINITY), double(-Math.PI)], "  inf|-0003.14"],
    ["%c%c|%3c|%-3c|", [int(72), int(105), int(33), int(33)], "Hi|  !|!  |"],
    ["%s|%5s|%-5s|%.2s|", [string("abc"), string("abc"), string("abc"), string("abc")], "abc|  abc|abc  |ab|"],
    ["%p", [long(0x60000000n)], "0x60000000"],
    ["%*d|%-*d|%.*f", [int(5), int(42), int(5), int(42), int(2), double(Math.PI)], "   42|42   |3.14"],
    ["100%% %d%%", [int(5)], "100% 5%"],
    ["%a|%.1a", [double(1), double(0.75)], "0x1p+0|0x1.8p-1"],
    [
      "no conversion, and a lone per cent sign at the end %",
      [],
      "no conversion, and a lone per cent sign at the end %",
    ],
    [
      "%.0f|%.0f|%.1f|%.0e|%.1e|%g",
      [double(0.5), double(3.5), double(0.25), double(2.5), double(1.25), double(999999.5)],
      "0|4|0.2|2e+00|1.2e+00|1e+06",
    ],
    [
      "%.3f|%e|%g",
      [double(5e-324), double(5e-324), double(1.7976931348623157e308)],
      "0.000|4.940656e-324|1.79769e+308",
    ],
    ["%.20f", [double(0.1)], "0.10000000000000000555"],
    ["%.0f|%f", [double(1e22), double(1e22)], "10000000000000000000000|10000000000000000000000.000000"],
  ])("%s", (format, args, expected) => {
    expect(print(format, ...args)).toBe(expected);
  });

  test("and a width or precision that is absurd takes no memory", () => {
    expect(print("%999999999d", int(1)).length).toBeLessThan(2000);
    expect(print("%.999999999f", double(1)).length).toBeLessThan(3000);
  });
});
