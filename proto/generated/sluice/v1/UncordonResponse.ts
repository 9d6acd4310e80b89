// Original file: proto/sluice/v1/admin.proto


export interface UncordonResponse {
}

export interface UncordonResponse__Output {
}
