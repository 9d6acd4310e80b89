// Original file: proto/sluice/v1/admin.proto


export interface UnreserveRequest {
  /**
   * Id of the reservation.
   */
  'reservationId'?: (string);
}

export interface UnreserveRequest__Output {
  /**
   * Id of the reservation.
   */
  'reservationId': (string);
}
