// Original file: proto/sluice/v1/pool.proto


export interface ListDevicesRequest {
}

export interface ListDevicesRequest__Output {
}
