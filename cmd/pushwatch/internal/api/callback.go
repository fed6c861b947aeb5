package api

// A Callback is the part of TIW's callbacks that is read as a hint. TIW posts one to an
// application's callback address when a push starts or stops.
// https://www.tencentcloud.com/document/product/1176
type Callback struct {
	_ struct{} `additionalProperties:"true"`

	ExpireTime int64         `json:"ExpireTime,omitempty" doc:"When Sign expires, in Unix seconds." example:"1588040109"`
	Sign       string        `json:"Sign,omitempty" doc:"Hex MD5 of the application's callback key and ExpireTime; checked if accounts.callback_key is set." example:"a2dabb362a9b811c0e26953a6276a41c"`
	EventData  CallbackEvent `json:"EventData,omitzero"`
}

// A CallbackEvent names the push of a [Callback].
type CallbackEvent struct {
	_ struct{} `additionalProperties:"true"`

	TaskID string `json:"TaskId,omitempty" doc:"The push; TIW omits it for some failed pushes." example:"ghucnligqtgtvk2624mb"`
}
