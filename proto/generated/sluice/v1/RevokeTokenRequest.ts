// Original file: proto/sluice/v1/admin.proto


export interface RevokeTokenRequest {
  /**
   * Its id, or the token itself, which is written down nowhere.
   */
  'tokenId'?: (string);
}

export interface RevokeTokenRequest__Output {
  /**
   * Its id, or the token itself, which is written down nowhere.
   */
  'tokenId': (string);
}
