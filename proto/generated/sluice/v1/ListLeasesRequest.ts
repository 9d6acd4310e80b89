// Original file: proto/sluice/v1/pool.proto


export interface ListLeasesRequest {
}

export interface ListLeasesRequest__Output {
}
