/**
 * One function for every call of the table. Adding a call means one entry in proto/calls.ts and one here; the compiler
 * asks for it. Indexed by opcode for the loop.
 */
import * as codec from "../../shared/generated/calls.ts";
import { CALL_DATA_BYTES_MAX } from "../../shared/limits.ts";
import { protocolError, type WireBuffer } from "../../shared/wire/wire-buffer.ts";
import * as caches from "./cache-calls.ts";
import { acknowledged, answered, type CallFunction, encodeNothing, silent } from "./call-function.ts";
import * as dnn from "./dnn-calls.ts";
import * as functions from "./function-calls.ts";
import * as libraries from "./library-calls.ts";
import * as memory from "./memory-calls.ts";
import * as modules from "./module-calls.ts";
import * as recordings from "./recording-calls.ts";
import * as streams from "./stream-calls.ts";
import * as textures from "./texture-calls.ts";

/** The bound on a call's data is a rule of the format, so breaking it is not a failure of the call. Kept copies have the same fields. */
function decodeCopyToDeviceCall(buffer: WireBuffer, start: number, end: number): codec.CopyToDeviceCall {
  const call = codec.decodeCopyToDeviceCall(buffer, start, end);
  if (call.data.byteLength > CALL_DATA_BYTES_MAX) {
    throw protocolError(
      `A copy to the device carries [${call.data.byteLength}] bytes, more than [${CALL_DATA_BYTES_MAX}].`,
    );
  }
  return call;
}

const byName: Record<codec.CallName, CallFunction> = {
  attach: answered({ decode: codec.decodeAttachCall, run: streams.attach, encode: codec.encodeAttachAnswer }),
  allocate: silent(codec.decodeAllocateCall, memory.allocate),
  free: silent(codec.decodeFreeCall, memory.free),
  copyToDevice: silent(decodeCopyToDeviceCall, memory.copyToDevice),
  copyFromDevice: answered({
    decode: codec.decodeCopyFromDeviceCall,
    run: memory.copyFromDevice,
    encode: codec.encodeCopyFromDeviceAnswer,
  }),
  copyToDeviceStaged: acknowledged(codec.decodeCopyToDeviceStagedCall, memory.copyToDeviceStaged),
  copyFromDeviceStaged: {
    ...answered({
      decode: codec.decodeCopyFromDeviceStagedCall,
      run: memory.copyFromDeviceStaged,
      encode: encodeNothing,
    }),
    isAcknowledged: true,
  },
  copyOnDevice: silent(codec.decodeCopyOnDeviceCall, memory.copyOnDevice),
  fill: silent(codec.decodeFillCall, memory.fill),
  heap: silent(codec.decodeHeapCall, memory.heap),
  stackLimit: answered({
    decode: codec.decodeStackLimitCall,
    run: memory.stackLimit,
    encode: codec.encodeStackLimitAnswer,
  }),
  imageWrite: silent(codec.decodeImageWriteCall, modules.imageWrite),
  moduleLoad: answered({
    decode: codec.decodeModuleLoadCall,
    run: modules.moduleLoad,
    encode: codec.encodeModuleLoadAnswer,
  }),
  moduleUnload: silent(codec.decodeModuleUnloadCall, modules.moduleUnload),
  launch: silent(codec.decodeLaunchCall, modules.launch),
  launchCooperative: silent(codec.decodeLaunchCooperativeCall, modules.launchCooperative),
  streamCreate: silent(codec.decodeStreamCreateCall, streams.streamCreate),
  streamDestroy: silent(codec.decodeStreamDestroyCall, streams.streamDestroy),
  streamSynchronize: answered({
    decode: codec.decodeStreamSynchronizeCall,
    run: streams.streamSynchronize,
    encode: encodeNothing,
  }),
  streamQuery: answered({
    decode: codec.decodeStreamQueryCall,
    run: streams.streamQuery,
    encode: codec.encodeStreamQueryAnswer,
  }),
  streamWaitEvent: silent(codec.decodeStreamWaitEventCall, streams.streamWaitEvent),
  eventCreate: silent(codec.decodeEventCreateCall, streams.eventCreate),
  eventDestroy: silent(codec.decodeEventDestroyCall, streams.eventDestroy),
  eventRecord: silent(codec.decodeEventRecordCall, streams.eventRecord),
  eventSynchronize: answered({
    decode: codec.decodeEventSynchronizeCall,
    run: streams.eventSynchronize,
    encode: encodeNothing,
  }),
  eventQuery: answered({
    decode: codec.decodeEventQueryCall,
    run: streams.eventQuery,
    encode: codec.encodeEventQueryAnswer,
  }),
  eventElapsed: answered({
    decode: codec.decodeEventElapsedCall,
    run: streams.eventElapsed,
    encode: codec.encodeEventElapsedAnswer,
  }),
  deviceSynchronize: answered({
    decode: codec.decodeDeviceSynchronizeCall,
    run: streams.deviceSynchronize,
    encode: encodeNothing,
  }),
  memoryInfo: answered({
    decode: codec.decodeMemoryInfoCall,
    run: memory.memoryInfo,
    encode: codec.encodeMemoryInfoAnswer,
  }),
  copyToDeviceKept: silent(decodeCopyToDeviceCall, caches.copyToDeviceKept),
  copyCached: answered({
    decode: codec.decodeCopyCachedCall,
    run: caches.copyCached,
    encode: codec.encodeCopyCachedAnswer,
  }),
  moduleLoadCached: answered({
    decode: codec.decodeModuleLoadCachedCall,
    run: modules.moduleLoadCached,
    encode: codec.encodeModuleLoadCachedAnswer,
  }),
  recordingCreate: silent(codec.decodeRecordingCreateCall, recordings.recordingCreate),
  recordingReplay: silent(codec.decodeRecordingReplayCall, recordings.recordingReplay),
  recordingDestroy: silent(codec.decodeRecordingDestroyCall, recordings.recordingDestroy),
  multiply: silent(codec.decodeMultiplyCall, libraries.multiply),
  multiplyPrepare: answered({
    decode: codec.decodeMultiplyPrepareCall,
    run: libraries.multiplyPrepare,
    encode: encodeNothing,
  }),
  multiplyTry: answered({ decode: codec.decodeMultiplyTryCall, run: libraries.multiply, encode: encodeNothing }),
  textureCreate: answered({
    decode: codec.decodeTextureCreateCall,
    run: textures.textureCreate,
    encode: codec.encodeTextureCreateAnswer,
  }),
  textureDestroy: silent(codec.decodeTextureDestroyCall, textures.textureDestroy),
  surfaceCreate: answered({
    decode: codec.decodeSurfaceCreateCall,
    run: textures.surfaceCreate,
    encode: codec.encodeSurfaceCreateAnswer,
  }),
  surfaceDestroy: silent(codec.decodeSurfaceDestroyCall, textures.surfaceDestroy),
  libraryOpen: answered({
    decode: codec.decodeLibraryOpenCall,
    run: functions.libraryOpen,
    encode: codec.encodeLibraryOpenAnswer,
  }),
  dnnDescribe: answered({
    decode: codec.decodeDnnDescribeCall,
    run: dnn.dnnDescribe,
    encode: codec.encodeDnnDescribeAnswer,
  }),
  libraryForget: silent(codec.decodeLibraryForgetCall, functions.libraryForget),
  dnnAsk: answered({ decode: codec.decodeDnnAskCall, run: dnn.dnnAsk, encode: codec.encodeDnnAskAnswer }),
  dnnExecute: silent(codec.decodeDnnExecuteCall, dnn.dnnExecute),
  dnnTry: answered({ decode: codec.decodeDnnTryCall, run: dnn.dnnTry, encode: codec.encodeDnnTryAnswer }),
  libraryCall: silent(codec.decodeLibraryCallCall, functions.libraryCall),
  libraryAskCall: answered({
    decode: codec.decodeLibraryAskCallCall,
    run: functions.libraryAskCall,
    encode: codec.encodeLibraryAskCallAnswer,
  }),
  compile: answered({ decode: codec.decodeCompileCall, run: libraries.compile, encode: codec.encodeCompileAnswer }),
};

/** The function for each opcode; holes where the table has none. */
export const callFunctions: readonly (CallFunction | undefined)[] = (() => {
  const table: (CallFunction | undefined)[] = [];
  for (const { name, opcode, answered: hasAnswer } of codec.callTable) {
    const entry = byName[name];
    if (hasAnswer !== (entry.encode !== undefined)) throw new Error(`The call ${name} and its function disagree.`);
    table[opcode] = entry;
  }
  return table;
})();
