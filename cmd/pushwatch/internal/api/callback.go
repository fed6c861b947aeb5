package api

// A Callback is what TIW posts to an application's callback address when a push starts or
// stops. Only what serves as a hint is read of it.
// https://www.tencentcloud.com/document/product/1176
type Callback struct {
	_ struct{} `additionalProperties:"true"`

	ExpireTime int64         `json:"ExpireTime,omitempty" doc:"Unix seconds; until then Sign is valid." example:"1588040109"`
	Sign       string        `json:"Sign,omitempty" doc:"Hex MD5 of the application's callback key and ExpireTime; checked where accounts.callback_key is set." example:"a2dabb362a9b811c0e26953a6276a41c"`
	EventData  CallbackEvent `json:"EventData,omitzero"`
}

// A CallbackEvent says which push a [Callback] is about.
type CallbackEvent struct {
	_ struct{} `additionalProperties:"true"`

	TaskID string `json:"TaskId,omitempty" doc:"The push; TIW leaves it out for some that failed." example:"ghucnligqtgtvk2624mb"`
}
