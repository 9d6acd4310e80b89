/**
 * Links PTX programs into one: what is `.extern` in one is what another shows, and names that a program keeps to itself stay apart from those
 * of the others. Works on parsed programs and changes none of them.
 */
import { SluiceError } from "../../../../shared/errors.ts";
import type { Forecast, InitialPiece, Operand, Outline, Program, Routine, Survey, Variable } from "./program.ts";

/** What the names and variables of one program mean in the linked one. */
interface Meaning {
  readonly variables: ReadonlyMap<Variable, Variable>;
  readonly names: ReadonlyMap<string, string>;
}

const unresolved = (name: string): SluiceError =>
  new SluiceError("BAD_IMAGE", `The image cannot be linked: [${name}] is declared, and nothing in it defines it.`);
const ambiguous = (name: string): SluiceError =>
  new SluiceError("BAD_IMAGE", `The images cannot be linked: [${name}] is defined in more than one of them.`);

/** The names that programs show each other: for each the program that defines it. Of weak ones the first counts. */
function findOwners(programs: readonly Program[]): Map<string, Program> {
  const owners = new Map<string, Program>();
  for (const program of programs) {
    const names = [
      ...program.routines.map(({ name }) => name),
      ...program.variables.filter((variable) => !isBorrowed(program, variable)).map(({ name }) => name),
    ];
    for (const name of names) {
      if (!program.visible.has(name)) continue;
      const other = owners.get(name);
      if (other === undefined || (other.weak.has(name) && !program.weak.has(name))) owners.set(name, program);
      else if (!other.weak.has(name) && !program.weak.has(name)) throw ambiguous(name);
    }
  }
  return owners;
}

/** Whether a variable is only declared here. Dynamic shared memory is nobody's: every program has its own name for it. */
const isBorrowed = (program: Program, variable: Variable): boolean =>
  program.borrowed.has(variable.name) && !variable.isDynamic;

/** Finds names that are free for what programs keep to themselves. */
class LocalNames {
  readonly #used: Set<string>;

  constructor(shown: Iterable<string>) {
    this.#used = new Set(shown);
  }

  /** The name itself where it is free, else one that no PTX program can have. */
  take(name: string): string {
    let free = name;
    for (let number = 1; this.#used.has(free); number++) free = `${name}#${number}`;
    this.#used.add(free);
    return free;
  }
}

/** Links programs; throws BAD_IMAGE for a variable that is nowhere defined, and for a name that is defined twice. */
export function linkPrograms(programs: readonly Program[]): Program {
  const owners = findOwners(programs);
  const locals = new LocalNames(owners.keys());
  const defined = new Map<string, Variable>();
  const meanings = new Map<Program, { variables: Map<Variable, Variable>; names: Map<string, string> }>();
  for (const program of programs) {
    const meaning = { variables: new Map<Variable, Variable>(), names: new Map<string, string>() };
    meanings.set(program, meaning);
    for (const { name } of program.routines) if (!program.visible.has(name)) meaning.names.set(name, locals.take(name));
    for (const variable of program.variables) {
      const { name } = variable;
      if (variable.isDynamic || program.visible.has(name) || isBorrowed(program, variable)) continue;
      meaning.names.set(name, locals.take(name));
    }
  }
  for (const program of programs) placeVariables(program, { meaning: meanings.get(program)!, owners, defined });
  for (const program of programs) borrowVariables(program, { meaning: meanings.get(program)!, defined });
  const routines = programs.flatMap((program) =>
    program.routines
      .filter(({ name }) => !program.visible.has(name) || owners.get(name) === program)
      .map((outline) => rewriteOutline(outline, meanings.get(program)!)),
  );
  const bodies = new Set(routines.map(({ name }) => name));
  return {
    version: Math.max(...programs.map(({ version }) => version)),
    target: Math.max(...programs.map(({ target }) => target)),
    routines,
    externals: new Set(programs.flatMap(({ externals }) => [...externals]).filter((name) => !bodies.has(name))),
    variables: [...new Set(programs.flatMap((program) => [...meanings.get(program)!.variables.values()]))],
    visible: new Set(programs.flatMap(({ visible }) => [...visible])),
    weak: new Set(),
    borrowed: new Set(),
  };
}

/** Functions that CUDA's runtime has for device code: which of them this device has is told by the kernels that call them. */
const ofRuntime = (name: string): boolean => /^(__)?cuda|^(vprintf|malloc|free|__assertfail)$/.test(name);

/** Throws BAD_IMAGE for a call of a function that is declared and defined nowhere, as CUDA's linker fails. */
export function requireDefined({ routines, externals }: Program): void {
  for (const { survey } of routines) {
    for (const name of survey.calls) if (externals.has(name) && !ofRuntime(name)) throw unresolved(name);
  }
}

/** Gives a program's own variables their place in the linked one. */
function placeVariables(
  program: Program,
  options: {
    meaning: { variables: Map<Variable, Variable>; names: Map<string, string> };
    owners: ReadonlyMap<string, Program>;
    defined: Map<string, Variable>;
  },
): void {
  const { meaning, owners, defined } = options;
  for (const variable of program.variables) {
    const { name } = variable;
    if (isBorrowed(program, variable)) continue;
    const isShown = program.visible.has(name) && !variable.isDynamic;
    if (isShown && owners.get(name) !== program) continue;
    const initial = variable.initial.map((piece) => rewritePiece(piece, meaning.names));
    const placed = { ...variable, name: meaning.names.get(name) ?? name, initial };
    meaning.variables.set(variable, placed);
    if (isShown) defined.set(name, placed);
  }
}

/** Finds what a program only declares, and its weak variables that another's stand for. */
function borrowVariables(
  program: Program,
  { meaning, defined }: { meaning: { variables: Map<Variable, Variable> }; defined: ReadonlyMap<string, Variable> },
): void {
  for (const variable of program.variables) {
    if (meaning.variables.has(variable)) continue;
    const definition = defined.get(variable.name);
    if (definition === undefined) throw unresolved(variable.name);
    meaning.variables.set(variable, definition);
  }
}

function rewritePiece(piece: InitialPiece, names: ReadonlyMap<string, string>): InitialPiece {
  return piece.kind === "address" ? { ...piece, symbol: names.get(piece.symbol) ?? piece.symbol } : piece;
}

function rewriteOutline(outline: Outline, meaning: Meaning): Outline {
  return {
    ...outline,
    name: nameIn(meaning, outline.name),
    survey: rewriteSurvey(outline.survey, meaning),
    read: () => rewriteRoutine(outline.read(), meaning),
  };
}

const nameIn = ({ names }: Meaning, name: string): string => names.get(name) ?? name;
const variableIn = ({ variables }: Meaning, variable: Variable): Variable => variables.get(variable) ?? variable;

function rewriteSurvey({ calls, addresses, forecast }: Survey, meaning: Meaning): Survey {
  const all = (names: ReadonlySet<string>) => new Set([...names].map((name) => nameIn(meaning, name)));
  return { calls: all(calls), addresses: all(addresses), forecast: forecast && rewriteForecast(forecast, meaning) };
}

function rewriteForecast(forecast: Forecast, meaning: Meaning): Forecast {
  return {
    ...forecast,
    calls: forecast.calls.map((call) => ({ ...call, name: call.name && nameIn(meaning, call.name) })),
    shared: forecast.shared.map((variable) => variableIn(meaning, variable)),
  };
}

function rewriteRoutine(routine: Routine, meaning: Meaning): Routine {
  return {
    ...routine,
    name: nameIn(meaning, routine.name),
    instructions: routine.instructions.map((instruction) => {
      const operands = instruction.operands.map((operand) => rewriteOperand(operand, meaning));
      const isSame = operands.every((operand, index) => operand === instruction.operands[index]);
      return isSame ? instruction : { ...instruction, operands };
    }),
  };
}

function rewriteOperand(operand: Operand, meaning: Meaning): Operand {
  switch (operand.kind) {
    case "variable":
      return { ...operand, variable: variableIn(meaning, operand.variable) };
    case "memory": {
      const { base } = operand;
      if (base === undefined || !("space" in base)) return operand;
      return { ...operand, base: variableIn(meaning, base) };
    }
    case "function":
      return { ...operand, name: nameIn(meaning, operand.name) };
    case "vector":
    case "list":
      return { ...operand, elements: operand.elements.map((element) => rewriteOperand(element, meaning)) };
    case "pair":
      return {
        ...operand,
        first: rewriteOperand(operand.first, meaning),
        second: rewriteOperand(operand.second, meaning),
      };
    default:
      return operand;
  }
}
