/** What tests expect to fail. */
import type { ErrorCode, SluiceError } from "../../shared/errors.ts";

type Work = Promise<unknown> | (() => unknown);

async function caught(work: Work): Promise<SluiceError | undefined> {
  try {
    await (typeof work === "function" ? work() : work);
    return undefined;
  } catch (error) {
    // By its name: the package's class is not that of the sources.
    if ((error as Error).name === "SluiceError") return error as SluiceError;
    throw error;
  }
}

/** The SluiceError with which the work ends; any other end fails the test. */
export async function failureOf(work: Work): Promise<SluiceError> {
  const error = await caught(work);
  if (error === undefined) throw new Error("It succeeds.");
  return error;
}

/** Its code, or `none` when the work succeeds. */
export const codeOf = async (work: Work): Promise<ErrorCode | "none"> => (await caught(work))?.code ?? "none";
