// Original file: proto/sluice/v1/admin.proto


export interface ListReservationsRequest {
}

export interface ListReservationsRequest__Output {
}
